"""A detector behind HTTP; an example. Needs `pip install ./deploy fastapi uvicorn`.

FCOS_MODEL=exported/ uvicorn --app-dir demo serve:app
curl --data-binary @photo.jpg http://localhost:8000/detect
"""

import os

import cv2
import numpy as np
from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool

from fcos_deploy import Detector
from fcos_deploy.results import objects_of

app = FastAPI(title="fcos_deploy")
detector = Detector(os.environ["FCOS_MODEL"])


@app.post("/detect")
async def detect(request: Request) -> dict:
    """An image file as the body -> the class, score and box of each object."""
    content = np.frombuffer(await request.body(), np.uint8)
    image = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
    if image is None:
        raise HTTPException(415, "the body is not an image")
    found = await run_in_threadpool(detector, image)
    return {"objects": objects_of(found, detector.settings.class_names)}
