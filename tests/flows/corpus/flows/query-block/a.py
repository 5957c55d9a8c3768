async def main(inputs, context):
    task = await context.query_block("self::inc")
    flow = await context.query_block("self::with_slot")
    return {
        "y": [task["type"], list(task["inputs_def"]), list(task["outputs_def"]), flow["type"], list(flow["inputs_def"]), flow["has_slot"]]
    }
