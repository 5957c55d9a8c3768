def main(inputs):
    a, b, c = inputs["x"]
    return {"y": [a == c, a == b]}
