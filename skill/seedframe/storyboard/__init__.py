"""The storyboard room: shots in, keyframes and a Seedance handoff out.

In: a board file (JSON, YAML, Markdown, CSV, Fountain). Out: frames to make, findings, a manifest, a sheet.
Never in here: a prompt's wording rules (styling), a payment, a request to a backend.

    board       file → Board              frames    Board → FrameTask …        handoff  Board + results → manifest
    continuity  Board → findings          names     frame key → file name      sheet    Board + results → HTML pages
    plan        Board → prompts, prices   run       Board → pictures           reports  plan, state → lines and JSON
    picks       which take is the one     outputs   the files of a folder      actions  what both doors do
    detached    a run in its own process
"""
