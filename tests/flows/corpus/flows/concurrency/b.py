import threading

barrier = threading.Barrier(2, timeout=20)


def main(inputs):
    barrier.wait()
    return {"y": inputs["x"]}
