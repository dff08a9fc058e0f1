"""Rules about combinations: contradicting terms, two of a kind, too many lights or styles.

In: a `LintContext`. Out: findings. Never in here: rules about wording.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from seedframe.prompting.lexicon import Term
from seedframe.prompting.lint_context import LintContext, Rule
from seedframe.prompting.lint_data import finding, limits
from seedframe.prompting.types import PromptFinding


def conflicts(case: LintContext) -> Iterator[PromptFinding]:
    """Pairs that cannot both be true. Strict mode refuses only picked terms: a free text may mean something else."""
    picked = {term.id for term in case.picked}
    present = picked if case.set_size else {term.id for term in case.terms}
    for conflict in case.lexicon.conflicts:
        pair = {conflict.first, conflict.second}
        if pair <= present:
            sure = case.prompt_input.strict and conflict.hard and pair <= picked
            names = [_name(case, term) for term in (conflict.first, conflict.second)]
            yield finding("CONFLICT", limits("CONFLICT")["picked_strict"] if sure else None, items=names)


def rivals(case: LintContext) -> Iterator[PromptFinding]:
    """Two terms where only one can hold; a set may have both."""
    if case.set_size:
        return
    groups: dict[str, list[Term]] = defaultdict(list)
    for term in case.terms:
        if term.group:
            groups[term.group].append(term)
    for group, terms in groups.items():
        ranks = [term.rank for term in terms if term.rank is not None]
        close = len(ranks) == len(terms) and max(ranks) - min(ranks) <= case.lexicon.tolerance.get(group, -1)
        if len(terms) > 1 and not close:
            yield finding("CONFLICT_GROUP", items=[_name(case, term.id) for term in terms])


def crowds(case: LintContext) -> Iterator[PromptFinding]:
    """More lights or styles than one picture can follow."""
    for code, category in (("LIGHT_CROWD", "lighting"), ("STYLE_CROWD", "art_style")):
        terms = [term for term in case.terms if term.id.startswith(f"{category}.")]
        if len(terms) > limits(code)["above"]:
            yield finding(code, items=[_name(case, term.id) for term in terms], limit=limits(code)["above"])


def _name(case: LintContext, id: str) -> str:
    return case.lexicon.terms[id].wording(case.sheet.wording["name"])


RULES: tuple[Rule, ...] = (conflicts, rivals, crowds)
"""Every rule about combinations."""
