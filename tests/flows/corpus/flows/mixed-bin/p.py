def main():
    return {"v": bytes(range(256))}
