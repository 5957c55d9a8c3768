calls = 0


def main(inputs):
    global calls
    calls += 1
    return {"y": calls}
