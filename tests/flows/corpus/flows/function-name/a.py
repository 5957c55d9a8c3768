async def double(inputs, context):
    return {"y": inputs["x"] * 2}
