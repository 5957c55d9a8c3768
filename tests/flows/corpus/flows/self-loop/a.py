def main(inputs):
    x = inputs["x"]
    return {"again": x + 1} if x < 5 else {"done": x}
