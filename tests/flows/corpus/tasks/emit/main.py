def main(inputs, context):
    for item in range(inputs["n"]):
        context.output("item", item)
    return {"done": True}
