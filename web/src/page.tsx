import { render } from "preact";
import "./style.css";

render(<h1>clew</h1>, document.body);
