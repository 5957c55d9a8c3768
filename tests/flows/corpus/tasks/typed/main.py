def main(inputs):
    return {"y": inputs["n"]}
