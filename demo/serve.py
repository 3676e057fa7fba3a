"""A detector behind HTTP; an example. Needs `pip install ./deploy fastapi uvicorn`.

FCOS_MODEL=exported/ uvicorn --app-dir demo serve:app
curl --data-binary @photo.jpg http://localhost:8000/detect

FCOS_WORKERS images at a time (default 2), FCOS_WAITING more wait (32), others are answered 503.
"""

import os

from fastapi import FastAPI, HTTPException, Request
from starlette.requests import ClientDisconnect

from fcos_deploy import Detector
from fcos_deploy.service import RefusedError, Service

app = FastAPI(title="fcos_deploy")
service = Service(
    Detector(os.environ["FCOS_MODEL"]),
    workers=int(os.environ.get("FCOS_WORKERS", 2)),
    max_waiting=int(os.environ.get("FCOS_WAITING", 32)),
)


@app.post("/detect")
async def detect(request: Request) -> dict:
    """An image file as the body -> the class, score and box of each object."""
    length = request.headers.get("content-length", "")
    try:
        return await service.answer(request.stream(), int(length) if length.isdigit() else None)
    except RefusedError as error:
        raise HTTPException(error.status, str(error)) from None
    except ClientDisconnect:
        raise HTTPException(400, "the client went away") from None
