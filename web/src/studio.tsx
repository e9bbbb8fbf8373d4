import { render } from "preact";
import { App } from "./studio/App";
import { listen } from "./studio/keys";
import { begin } from "./studio/state";
import "./style.css";
import "./studio/studio.css";

listen();
void begin();
render(<App />, document.getElementById("studio")!);
