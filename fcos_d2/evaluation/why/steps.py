"""The steps at which a detector can lose an object: each missed one is lost at exactly one."""

FOUND = "found"
MATCHED_ELSEWHERE = "matched elsewhere"
CAP = "cap"
SUPPRESSION = "suppression"
MERGING = "merging"
TOP_K = "top-k"
WRONG_CLASS = "wrong class"
BAD_BOX = "bad box"
SCORE_THRESHOLD = "score threshold"
NEVER_PROPOSED = "never proposed"

# What is followed: of the locations whose box fits the object (IoU of at least 0.5, or what is
# asked for), as candidates of its class, the one that goes farthest; of those that go equally far
# the surest.
STEPS = {
    FOUND: "the metric gives it a detection",
    MATCHED_ELSEWHERE: "a detection of its class fits it, but the metric gave that to another",
    CAP: "its best candidate was beyond the largest number of detections of an image",
    SUPPRESSION: "a surer detection covers its best candidate",
    MERGING: "its best candidate was lost where tiles, sizes or mirror images were merged",
    TOP_K: "its level had enough surer candidates",
    WRONG_CLASS: "no candidate of its class was sure enough, and one of another class is there",
    BAD_BOX: "no candidate that fits was sure enough, and a detection of its class fits badly",
    SCORE_THRESHOLD: "locations have a box that fits, but none is sure enough of the class",
    NEVER_PROPOSED: "no location has a box that fits",
}
MISSES = tuple(step for step in STEPS if step != FOUND)
