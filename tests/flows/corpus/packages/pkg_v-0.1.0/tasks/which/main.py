def main():
    return {"y": "0.1.0"}
