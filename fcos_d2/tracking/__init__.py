"""Objects followed through a video: numbers, trails, counts and a MOT file.

The tracker is ByteTrack of Roboflow's `trackers`, the counting that of `supervision`; both come
with `pip install "fcos_d2[track]"`, and nothing else in fcos_d2 imports them.
"""
