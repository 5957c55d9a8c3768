def main():
    return {"y": "0.2.0"}
