def main(inputs, context):
    context.outputs({"x": 1, "y": 2})
