items = []


def main(inputs):
    items.append(inputs["x"])
    return {"all": sorted(items)}
