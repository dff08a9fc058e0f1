"""Send every line of a file of Seedance requests with `volcengine-python-sdk[ark]`; prints what came of each."""

import json
import sys
from pathlib import Path

from pydantic import TypeAdapter
from volcenginesdkarkruntime import Ark
from volcenginesdkarkruntime.types.content_generation.create_task_content_param import CreateTaskContentParam

client = Ark(base_url=f"{sys.argv[1]}/api/v3", api_key="test-key", max_retries=0)
content = TypeAdapter(list[CreateTaskContentParam])
met = []
with Path(sys.argv[2]).open(encoding="utf-8") as lines:
    for line in lines:
        body = json.loads(line)
        content.validate_python(body["content"], strict=True)
        made = client.content_generation.tasks.create(**body)
        task = client.content_generation.tasks.get(task_id=made.id)
        met.append([task.status, task.error.code, task.duration, task.resolution, task.ratio])
json.dump(met, sys.stdout)
