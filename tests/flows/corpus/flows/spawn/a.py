import os


def main(inputs):
    known = inputs["x"] if isinstance(inputs["x"], list) else []
    return {"y": known + [os.getpid()]}
