"""Decides whether an IP address is public, by the address alone; IPv4 addresses embedded in IPv6 are unwrapped.

In: an address as text. Out: yes or no. Never in here: a host name, a resolver, a socket.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

from seedframe.settings import FAKE_IPS, NetworkRange

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_WRAPPERS = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "::/96")))
"""NAT64 (RFC 6052) and IPv4-compatible: the IPv4 address is in the last 32 bits."""

_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
"""RFC 8215: leads to addresses of the local network."""


def is_public(address: str, also: Sequence[NetworkRange] = ()) -> bool:
    """Whether the address is public, or in one of the ranges `also`. ValueError when it is not an address."""
    plain = unwrapped(ipaddress.ip_address(address.partition("%")[0]))
    if any(plain in network for network in also):
        return True
    if isinstance(plain, ipaddress.IPv6Address) and (plain.is_site_local or plain in _LOCAL_NAT64 or plain.teredo):
        return False
    return plain.is_global and not plain.is_multicast and not plain.is_reserved and not plain.is_unspecified


def is_fake(address: str) -> bool:
    """Whether a proxy program that captures all traffic invented this address for a name."""
    plain = ipaddress.ip_address(address.partition("%")[0])
    return any(plain in ipaddress.ip_network(network) for network in FAKE_IPS)


def unwrapped(address: Address) -> Address:
    """The IPv4 address inside an IPv4-mapped, NAT64, 6to4 or IPv4-compatible one; any other is returned as it is."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if (inner := address.ipv4_mapped or address.sixtofour) is not None:
        return inner
    if any(address in wrapper for wrapper in _WRAPPERS) and int(address) & 0xFFFFFFFF > 1:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def literal(host: str) -> str | None:
    """The address that a host is written as, also `127.1`, `0x7f000001` or `2130706433`; None for a real name."""
    try:
        return str(ipaddress.ip_address(host.strip("[]").partition("%")[0]))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host)) if host.isascii() and " " not in host else None
    except OSError:
        return None
