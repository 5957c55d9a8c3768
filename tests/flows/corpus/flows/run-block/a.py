from oocana import Context


async def main(inputs, context: Context):
    outputs = []
    job = context.run_block("self::inc", inputs={"x": 5})
    job.add_output_callback(outputs.append)
    await job.finish()
    try:
        await context.run_block("self::fail", inputs={}).finish()
    except Exception as error:
        outputs.append("this block is broken" if "this block is broken" in str(error) else str(error))
    return {"y": outputs}
