def main(inputs):
    return {"y": inputs["s"]}
