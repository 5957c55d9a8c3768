def main(inputs):
    return {"y": inputs["v"] == bytes(reversed(range(256)))}
