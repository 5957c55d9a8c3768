async def main(inputs, context):
    outputs = []
    job = context.run_block("self::js_inc", inputs={"x": 5})
    job.add_output_callback(outputs.append)
    await job.finish()
    return {"y": outputs}
