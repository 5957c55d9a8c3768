def main(inputs):
    return {"out": inputs["in"]}
