"""Networks of real users: proxies, company certificates, odd base addresses, slow and redirected downloads."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from click.testing import CliRunner, Result

from canned import jpeg
from seedframe.cli import program
from seedframe.settings import Settings
from wayside import Says, Site, http_proxy, silent_proxy, site, socks_proxy

CAT = "一只猫坐在窗台上，午后阳光。"
GENERATE = "/api/v3/images/generations"
KEY = "0123456789abcdef"
SERVICE, PICTURES, REFERENCES = "ark.example.com", "pictures.example.com", "references.example.com"
NAMES = (SERVICE, PICTURES, REFERENCES)


def answer(url: str) -> Says:
    document = {"data": [{"url": url, "size": "1920x1920"}], "usage": {"generated_images": 1}}
    return Says(json.dumps(document).encode())


def picture(kind: str = "image/jpeg") -> Says:
    return Says(jpeg(), headers={"content-type": kind, "content-length": str(len(jpeg()))})


def moved(to: str, status: int = 302) -> Says:
    return Says(b"", status, {"location": to, "content-length": "0"})


@dataclass(frozen=True)
class User:
    """Somebody at a shell."""

    environ: dict[str, str]

    def __call__(self, *words: str, **variables: str) -> Result:
        settings = Settings.read({**self.environ, **variables})
        return CliRunner().invoke(program("en"), list(words), obj=settings)

    def makes(self, *more: str, **variables: str) -> dict[str, Any]:
        done = self("generate", CAT, "--ratio", "1:1", "--json", *more, **variables)
        facts: dict[str, Any] = json.loads(done.stdout)
        return facts


@pytest.fixture
def user(environ: dict[str, str]) -> User:
    return User({**environ, "SEEDFRAME_BACKEND": "ark", "ARK_API_KEY": KEY})


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "company.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def service(authority: trustme.CA) -> Iterator[Site]:
    """The service and everybody else's servers behind one TLS socket."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*NAMES).configure_cert(context)
    pages = {GENERATE: answer(f"https://{PICTURES}/made.jpeg"), "/made.jpeg": picture(), "/cat.jpeg": picture()}
    with site(pages, context) as described:
        yield described


def everywhere(service: Site) -> dict[str, int]:
    return dict.fromkeys(NAMES, service.port)


def done(facts: dict[str, Any]) -> tuple[str, bytes]:
    return facts["status"], Path(facts["pictures"][0]["path"]).read_bytes()


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks"])
@pytest.mark.parametrize("name", ["ALL_PROXY", "all_proxy", "HTTPS_PROXY"])
def test_a_socks_proxy_carries_the_call_and_the_download(
    user: User, service: Site, bundle: str, scheme: str, name: str
):
    with socks_proxy(everywhere(service)) as proxy:
        variables = {name: f"{scheme}://127.0.0.1:{proxy.port}", "ARK_API_BASE": f"https://{SERVICE}"}
        facts = user.makes(**variables, SSL_CERT_FILE=bundle)

    assert done(facts) == ("done", jpeg())
    assert proxy.asked == [f"{SERVICE}:443", f"{PICTURES}:443"]


@pytest.mark.slow
def test_references_go_through_the_proxy_with_the_certificate_checked_by_name(user: User, service: Site, bundle: str):
    variables = {"ARK_API_BASE": f"https://{SERVICE}", "SSL_CERT_FILE": bundle}
    with http_proxy(everywhere(service)) as proxy:
        through = f"http://127.0.0.1:{proxy.port}"
        cat = f"https://{REFERENCES}/cat.jpeg"
        edit = ("edit", "把图1中的猫换成一只狗", "--image", cat, "--ratio", "1:1", "--json")
        facts = json.loads(user(*edit, HTTPS_PROXY=through, **variables).stdout)

    assert done(facts) == ("done", jpeg())
    assert proxy.asked == [f"CONNECT {host}:443" for host in (REFERENCES, SERVICE, PICTURES)]


@pytest.mark.slow
def test_a_certificate_for_another_name_is_refused_behind_a_proxy_too(user: User, service: Site, bundle: str):
    with http_proxy({"other.example.com": service.port}) as proxy:
        variables = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}", "SSL_CERT_FILE": bundle}
        facts = user.makes(ARK_API_BASE="https://other.example.com", **variables)

    assert (facts["error"], facts["billed"], service.seen) == ("ConnectionFailed", "no", [])
    assert "SSL_CERT_FILE" in facts["message"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_certificates_of_a_company_are_taken_from_any_of_the_usual_variables(
    user: User, service: Site, bundle: str, name: str
):
    place = os.path.dirname(bundle) if name == "SSL_CERT_DIR" else bundle  # noqa: PTH120
    with http_proxy(everywhere(service)) as proxy:
        through = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}", "ARK_API_BASE": f"https://{SERVICE}"}
        without = user.makes(**through)
        facts = user.makes(**through, **{name: place})

    assert (without["error"], without["billed"]) == ("ConnectionFailed", "no")
    assert done(facts) == ("done", jpeg())


def test_certificates_that_cannot_be_read_are_told_before_anything_is_sent(user: User, tmp_path: Path):
    facts = user.makes(ARK_API_BASE=f"https://{SERVICE}", REQUESTS_CA_BUNDLE=str(tmp_path / "gone.pem"))

    assert (facts["error"], facts["setting"], facts["billed"]) == ("NotConfigured", "REQUESTS_CA_BUNDLE", "no")


@pytest.mark.parametrize(
    "no_proxy", ["127.0.0.1", "localhost,127.0.0.0/8", "*", "nothing.example.com", ""], ids=lambda one: one or "unset"
)
def test_this_machine_is_called_without_a_proxy(user: User, no_proxy: str):
    with site({GENERATE: Says(b"", 500)}) as local:
        local.pages |= {GENERATE: answer(f"{local.base}/made.jpeg"), "/made.jpeg": picture()}
        facts = user.makes(ARK_API_BASE=local.base, ALL_PROXY="socks5://127.0.0.1:9", NO_PROXY=no_proxy)

    assert done(facts) == ("done", jpeg())


@pytest.mark.parametrize(
    "word",
    [SERVICE, ".example.com", "example.com", "*.example.com", f"{SERVICE}:443", "*"],
)
def test_no_proxy_is_understood_in_every_spelling(user: User, service: Site, bundle: str, word: str):
    with http_proxy(everywhere(service)) as proxy:
        variables = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}", "NO_PROXY": f"other.org, {word}"}
        found = user("doctor", "--json", ARK_API_BASE=f"https://{SERVICE}", SSL_CERT_FILE=bundle, **variables)

    assert proxy.asked == []
    assert "ConnectError" in found.stdout


@pytest.mark.parametrize("given", ["socks4://127.0.0.1:1080", "ftp://127.0.0.1:21", "http://:99999", "http://"])
def test_a_proxy_nobody_can_speak_to_is_named_and_nothing_is_sent(user: User, given: str):
    facts = user.makes(ARK_API_BASE=f"https://{SERVICE}", HTTPS_PROXY=given)

    assert (facts["error"], facts["setting"]) == ("NotConfigured", "HTTPS_PROXY")
    assert "socks5://host:port" in facts["message"]


@pytest.mark.slow
@pytest.mark.parametrize("dead", ["http", "socks5"])
def test_a_proxy_that_is_off_costs_nothing_and_is_named(user: User, dead: str):
    facts = user.makes(ARK_API_BASE=f"https://{SERVICE}", HTTPS_PROXY=f"{dead}://me:secret@127.0.0.1:9")

    assert (facts["error"], facts["billed"]) == ("ConnectionFailed", "no")
    assert f"{dead}://127.0.0.1:9 (HTTPS_PROXY)" in facts["message"]
    assert "secret" not in json.dumps(facts)


@pytest.mark.slow
def test_a_proxy_that_never_answers_is_not_a_doubtful_payment(user: User):
    with silent_proxy() as proxy:
        through = f"http://127.0.0.1:{proxy.port}"
        facts = user.makes(ARK_API_BASE=f"https://{SERVICE}", HTTPS_PROXY=through, SEEDFRAME_TIMEOUT="0.3")

    assert proxy.asked[0] == f"CONNECT {SERVICE}:443 HTTP/1.1"
    assert (facts["error"], facts["billed"]) == ("ConnectionFailed", "no")


@pytest.mark.parametrize(
    "base",
    ["{}", "{}/", "{}/api/v3", "{}/api/v3/", "{}/api/v3/images/generations", " {}/api/v3/images/generations/ "],
)
def test_a_base_address_is_recognised_in_every_form(user: User, base: str):
    with site({}) as local:
        local.pages |= {GENERATE: answer(f"{local.base}/made.jpeg"), "/made.jpeg": picture()}
        assert done(user.makes(ARK_API_BASE=base.format(local.base))) == ("done", jpeg())
        assert local.seen[0] == ("POST", GENERATE)


def test_an_endpoint_without_a_prefix_gets_none(user: User):
    with site({}) as local:
        local.pages |= {"/images/generations": answer(f"{local.base}/made.jpeg"), "/made.jpeg": picture()}
        assert done(user.makes(ARK_API_BASE=f"{local.base}/images/generations")) == ("done", jpeg())


@pytest.mark.parametrize(
    "base", ["ark.example.com", "https://", "ftp://h", "https://me:pass@h", "https://h/?a=1", "http://["]
)
def test_an_odd_base_address_is_refused_with_what_to_write(user: User, base: str):
    facts = user.makes(ARK_API_BASE=base)

    assert facts["error"] == "NotConfigured"
    assert "https://" in facts["message"]
    assert "pass" not in facts["message"]


@pytest.mark.parametrize("kind", ["text/plain", "text/html", "application/octet-stream", "image/png", ""])
def test_a_picture_is_taken_by_its_bytes_and_not_by_its_label(user: User, kind: str):
    with site({"/made.jpeg": picture(kind)}) as local:
        local.pages[GENERATE] = answer(f"{local.base}/made.jpeg")
        assert done(user.makes(ARK_API_BASE=local.base)) == ("done", jpeg())


@pytest.mark.parametrize("kind", ["text/html", "image/jpeg", ""])
def test_a_page_is_no_picture_whatever_its_label_says(user: User, kind: str):
    page = Says(b"<!doctype html><html><body>please log in</body></html>", headers={"content-type": kind})
    with site({"/made.jpeg": page}) as local:
        local.pages[GENERATE] = answer(f"{local.base}/made.jpeg")
        facts = user.makes(ARK_API_BASE=local.base)

    assert (facts["error"], facts["billed"]) == ("Undelivered", "yes")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_on_the_same_host_are_followed(user: User, status: int):
    with site({"/one.jpeg": moved("/two.jpeg?x=1", status), "/made.jpeg": picture()}) as local:
        local.pages |= {GENERATE: answer(f"{local.base}/one.jpeg"), "/two.jpeg": moved("made.jpeg", status)}
        facts = user.makes(ARK_API_BASE=local.base)

    assert done(facts) == ("done", jpeg())
    assert {headers.get("authorization") for headers in local.headers[1:]} == {None}


def test_redirects_end_somewhere(user: User):
    with site({"/round.jpeg": moved("/round.jpeg")}) as local:
        local.pages[GENERATE] = answer(f"{local.base}/round.jpeg")
        facts = user.makes(ARK_API_BASE=local.base)

    assert "more than 5 redirects" in facts["message"]
    assert len(local.seen) == 7


def test_a_redirect_to_another_place_inside_is_not_followed(user: User):
    with site({"/secret.jpeg": picture()}) as inside, site({}) as local:
        local.pages |= {GENERATE: answer(f"{local.base}/one.jpeg"), "/one.jpeg": moved(f"{inside.base}/secret.jpeg")}
        facts = user.makes(ARK_API_BASE=local.base)

    assert (facts["error"], inside.seen) == ("Undelivered", [])


def test_pictures_are_asked_for_unpacked_and_taken_no_other_way(user: User):
    packed = Says(jpeg(), headers={"content-encoding": "gzip"})
    with site({"/made.jpeg": packed}) as local:
        local.pages[GENERATE] = answer(f"{local.base}/made.jpeg")
        facts = user.makes(ARK_API_BASE=local.base)

    assert local.headers[1]["accept-encoding"] == "identity"
    assert "it came compressed, which was not asked for" in facts["message"]


@pytest.mark.slow
def test_a_download_that_drips_ends_and_says_why(user: User):
    with site({}) as local:

        def dripping() -> Iterator[bytes]:
            for start in range(len(jpeg())):
                yield jpeg()[start : start + 1]
                if local.waiting.wait(0.02):
                    return

        local.pages |= {GENERATE: answer(f"{local.base}/made.jpeg"), "/made.jpeg": Says(dripping)}
        facts = user.makes(ARK_API_BASE=local.base, SEEDFRAME_DOWNLOAD_TIMEOUT="1")

    assert (facts["error"], facts["billed"]) == ("Undelivered", "yes")
    assert "slower than 8192 bytes per second" in facts["message"] or "not complete after 1 s" in facts["message"]


@pytest.mark.slow
def test_a_download_that_stalls_ends_with_its_deadline(user: User):
    with site({}) as local:

        def stalling() -> Iterator[bytes]:
            yield jpeg()[:2000]
            local.waiting.wait(20)

        local.pages |= {GENERATE: answer(f"{local.base}/made.jpeg"), "/made.jpeg": Says(stalling)}
        facts = user.makes(ARK_API_BASE=local.base, SEEDFRAME_DOWNLOAD_TIMEOUT="0.6")

    assert "not complete after 0.6 s" in facts["message"]


def test_the_doctor_names_proxy_certificates_and_address_without_paying(user: User, service: Site, bundle: str):
    with http_proxy(everywhere(service)) as proxy:
        through = f"http://me:secret@127.0.0.1:{proxy.port}"
        variables = {"HTTPS_PROXY": through, "CURL_CA_BUNDLE": bundle}
        described = user("doctor", "--json", ARK_API_BASE=f"https://{SERVICE}{GENERATE}", **variables)

    found = {one["name"]: one["message"] for one in json.loads(described.stdout)}
    base = f"https://{SERVICE}/api/v3"
    assert found["proxy"] == f"{base} is called through the proxy http://127.0.0.1:{proxy.port} (HTTPS_PROXY)."
    assert found["certificates"] == f"Servers are checked with the certificates of CURL_CA_BUNDLE ({bundle})."
    assert found["connection"] == f"{base} answers (HTTP 404)."
    assert "secret" not in described.output


def test_the_doctor_tells_what_stands_in_the_way(user: User):
    described = user("doctor", "--json", ARK_API_BASE=f"https://{SERVICE}", HTTPS_PROXY="http://127.0.0.1:9")

    (connection,) = [one for one in json.loads(described.stdout) if one["name"] == "connection"]
    assert (described.exit_code, connection["good"]) == (1, False)
    assert "http://127.0.0.1:9 (HTTPS_PROXY)" in connection["message"]
