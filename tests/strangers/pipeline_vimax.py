"""ViMax's own render step, from its source, over a project whose frames are there: `CHECKOUT PROJECT` → JSON.

Out: the frames it says are there already. It has no image service here, so a frame it wanted to make ends in an error.
What it only needs to plan text or to cut videos is not installed, and stands here as empty modules.
"""

import asyncio
import importlib
import json
import sys
import types
from pathlib import Path

checkout, project = Path(sys.argv[1]), Path(sys.argv[2])
sys.path.insert(0, str(checkout))
NOT_NEEDED = {
    "cv2": (),
    "moviepy": ("VideoFileClip", "concatenate_videoclips"),
    "langchain": (),
    "langchain.chat_models": ("init_chat_model",),
    "agents": (),
    "tools": (),
    "tools.render_backend": ("RenderBackend",),
    "utils": (),
    "utils.image": ("download_image",),
    "utils.video": ("download_video",),
    "utils.provider_presets": ("resolve_chat_model_config",),
}
for name, parts in NOT_NEEDED.items():
    module = types.ModuleType(name)
    vars(module).update(dict.fromkeys(parts), __path__=[])
    sys.modules[name] = module
package = types.ModuleType("pipelines")
package.__path__ = [str(checkout / "pipelines")]
sys.modules["pipelines"] = package

vimax = importlib.import_module("pipelines.script2video_pipeline")


async def main():
    folders = sorted((project / "shots").iterdir(), key=lambda folder: int(folder.name))
    texts = [(folder / "shot_description.json").read_text(encoding="utf-8") for folder in folders]
    shots = [vimax.ShotDescription.model_validate_json(text) for text in texts]
    listed = json.loads((project / "characters.json").read_text(encoding="utf-8"))
    characters = [vimax.CharacterInScene.model_validate(one) for one in listed]
    render = vimax.Script2VideoPipeline.__new__(vimax.Script2VideoPipeline)
    render.working_dir = str(project)
    render.frame_events = {shot.idx: {"first_frame": asyncio.Event(), "last_frame": asyncio.Event()} for shot in shots}
    there = []

    def progress(stage: str, _message: str, about: dict[str, str]) -> None:
        if stage == "frame_exists":
            there.append(Path(about["path"]).relative_to(project).as_posix())

    for camera in vimax._group_shots_into_cameras(shots):
        await render.generate_frames_for_single_camera(camera, shots, characters, {}, [], progress=progress)
    sys.stdout.write(f"\n{json.dumps(sorted(there))}\n")


asyncio.run(main())
