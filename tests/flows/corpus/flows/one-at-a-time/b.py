import threading

lock = threading.Lock()


def main(inputs):
    if not lock.acquire(blocking=False):
        raise RuntimeError("two at once")
    try:
        return {"y": inputs["x"]}
    finally:
        lock.release()
