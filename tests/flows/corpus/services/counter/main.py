calls = 0


def main(service):
    def handle(block, inputs, context):
        global calls
        calls += 1
        return {"n": [block, inputs["x"], calls]}

    service.block_handler = handle
