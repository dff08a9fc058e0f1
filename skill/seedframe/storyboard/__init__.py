"""Storyboards: shots in, keyframes and the input of the video step (Seedance) out.

In: a board file (JSON, YAML, Markdown, CSV, xlsx, Fountain, plain text). Out: frames to make, findings, a manifest, a
contact sheet. Never in here: how a prompt is worded (prompting), a payment, a request to a backend.

    board         file → Board                    run      Board → pictures
    continuity    Board → references, findings    picks    which take was chosen
    frames        Board → FrameTask …             sheet    Board + results → HTML, PNG
    names         frame key → file name           handoff  Board + results → manifest
    board_plan    Board → prompts, prices         reports  plan, state → lines and JSON
    board_folder  files beside the pictures       actions  what the CLI and the MCP tool do with a board
"""
