def main(inputs, context):
    context.preview({"type": "text", "data": "shown"})
