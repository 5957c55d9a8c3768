def main(inputs, context):
    context.error("not good")
    return {"y": 1}
