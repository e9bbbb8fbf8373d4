import { render } from "preact";
import { App } from "./studio/App";
import { listen } from "./studio/keys";
import { begin, glance } from "./studio/state";
import "../../clew/apps/pages/frame.css";
import "./studio/studio.css";

listen();
void begin();
addEventListener("focus", glance); // what was put into the folder meanwhile
render(<App />, document.getElementById("studio")!);
