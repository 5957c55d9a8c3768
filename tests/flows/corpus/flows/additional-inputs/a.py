def main(inputs):
    return {"y": sorted(inputs)}
