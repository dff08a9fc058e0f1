"""Whether a face in the picture will be trusted later, by the video model.

In: one styled prompt. Out: a finding or none. Never in here: several shots (see the storyboard), a picture.
"""

from __future__ import annotations

from seedframe.prompting.lint_data import finding, limits
from seedframe.prompting.types import PromptFinding, StyledPrompt


def face_trust(styled: StyledPrompt, *, eligible: bool) -> PromptFinding | None:
    """FACE_TRUST when a realistic person would come from a call whose pictures Seedance does not trust.

    A warning for a keyframe, an info for a picture that may never become video. `eligible`: an untouched text-to-image
    original of a model on the list of Volcengine 82379/2608626 (read 2026-11).
    """
    if eligible or not (styled.people and styled.realistic):
        return None
    return finding("FACE_TRUST", None if styled.keyframe else limits("FACE_TRUST")["otherwise"])
