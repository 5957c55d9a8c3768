def main(inputs):
    x = inputs["x"]
    return {"next": x + 1} if x < 9 else {"done": x}
