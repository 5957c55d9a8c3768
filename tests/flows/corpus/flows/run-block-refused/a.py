async def main(inputs, context):
    found = []
    requests = [
        ("self::inc", {}, "missing"),
        ("self::typed", {"n": "text"}, "type"),
        ("self::nothing", {}, "not there"),
    ]
    for block, values, word in requests:
        try:
            await context.run_block(block, inputs=values, strict=True).finish()
            found.append("ran")
        except Exception as error:
            found.append(word if word in str(error) else str(error))
    return {"y": found}
