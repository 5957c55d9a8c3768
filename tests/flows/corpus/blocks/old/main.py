def main(inputs):
    return {"y": "old " + str(inputs["x"])}
