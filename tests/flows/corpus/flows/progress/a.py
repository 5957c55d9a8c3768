def main(inputs, context):
    context.report_progress(50)
    return {"y": 1}
