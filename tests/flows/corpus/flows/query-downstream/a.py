async def main(inputs, context):
    all = await context.query_downstream()
    one = await context.query_downstream(["z"])
    node = one["z"]["to_node"][0]
    found = [node["node_id"], node["input_handle"], node["description"]]
    return {"y": [found, [name for name in one if name != "z"], [to["output_handle"] for to in all["y"]["to_flow"]]], "z": 1}
