def main(inputs, context):
    context.output("x", 1, to_node=[{"node_id": "b", "input_handle": "in"}])
    context.output("x", 2, to_node=[{"node_id": "c", "input_handle": "in"}], to_flow=[{"output_handle": "f"}])
