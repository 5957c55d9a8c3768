def main(inputs, context):
    context.output("early", 1)
    return {"late": 2}
