import argparse
import json

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

parser = argparse.ArgumentParser()
for name in ("--address", "--session-id", "--job-id"):
    parser.add_argument(name)
words = parser.parse_args()
session, job = words.session_id, words.job_id
client = mqtt.Client(callback_api_version=CallbackAPIVersion.VERSION2, client_id=f"oocana-worker-{job}")


def say(**message):
    return client.publish(f"session/{session}", json.dumps({"session_id": session, "job_id": job, **message}), qos=1)


def on_message(_client, _data, message):
    x = json.loads(message.payload)["inputs"]["x"]
    if x != "quiet":
        say(type="BlockOutput", handle="y", output=x + 1)
        say(type="BlockFinished")
    client.disconnect()


client.on_message = on_message
client.on_subscribe = lambda *_: say(type="BlockReady")
host, port = words.address.split(":")
client.connect(host, int(port))
client.subscribe(f"inputs/{session}/{job}", qos=1)
print("the worker is connected", flush=True)
client.loop_forever()
