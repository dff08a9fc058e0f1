"""Ship prompts/, references/ and SKILL.md inside the wheel; an editable install reads them from the checkout."""

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class DataFolders(BuildHookInterface):
    """Adds the folders agents read to `seedframe/_data`."""

    def initialize(self, version, build_data):
        """Called by hatchling before a build of that version ("standard" or "editable")."""
        if version != "editable":
            for name in ("prompts", "references", "SKILL.md"):
                build_data["force_include"][f"{self.root}/{name}"] = f"seedframe/_data/{name}"
