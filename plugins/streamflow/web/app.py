"""The FastAPI app of the pages: who may look, what each address shows, and what a browser may do with it.

Airflow mounts a plugin's app without any authentication. So the app as a whole requires a signed-in user who may read
the DAG, and pages with delivered values one who may read the logs of tasks, which have the same values.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from airflow.models.dag import DagModel
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from streamflow import settings
from streamflow.approval import MAX_CELLS
from streamflow.tables import TABLES, Table, tables_of
from streamflow.web.database import NothingLoadedError, UnavailableError, reading
from streamflow.web.months import STATES, all_tables, changes_of_revision, month_statuses, number
from streamflow.web.plots import HEIGHT, WIDTH, table_series
from streamflow.web.runs import DAG_ID, existing_runs, newest_runs, runs_of

PAGES = Path(__file__).resolve().parents[3] / "include" / "pages"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'self'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
MAX_USER_ID = 1000  # characters

router = APIRouter()


def create_app() -> FastAPI:
    """Return the app; every route of it requires the right to read the DAG."""
    app = FastAPI(
        title="StreamFlow",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        dependencies=[Depends(requires_access_dag("GET", param_dag_id=DAG_ID))],
    )
    app.include_router(router)
    app.middleware("http")(_add_headers)
    app.add_exception_handler(StarletteHTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(UnavailableError, _on_unavailable)
    return app


def may_see(entity: DagAccessEntity, user: Any) -> bool:
    """Return whether a user may read something of the DAG, such as the logs of its tasks."""
    details = DagDetails(id=DAG_ID, team_name=DagModel.get_team_name(DAG_ID))
    return get_auth_manager().is_authorized_dag(method="GET", access_entity=entity, details=details, user=user)


def sees_values(user: GetUserDep) -> bool:
    """Return whether delivered values may be shown, at all and to this user."""
    return settings.shows_values() and may_see(DagAccessEntity.TASK_LOGS, user)


def sees_runs(user: GetUserDep) -> bool:
    """Return whether the states of tasks may be shown to this user."""
    return may_see(DagAccessEntity.RUN, user) and may_see(DagAccessEntity.TASK_INSTANCE, user)


SeesValues = Annotated[bool, Depends(sees_values)]
SeesRuns = Annotated[bool, Depends(sees_runs)]


@router.get("/")
def months(request: Request, session: SessionDep, with_runs: SeesRuns) -> HTMLResponse:
    """Show months × tables."""
    found, is_empty = _months(session if with_runs else None)
    return _page(request, "months.html", months=found, is_empty=is_empty)


@router.get("/months.json")
def months_json(session: SessionDep, with_runs: SeesRuns) -> JSONResponse:
    """Return the same as JSON."""
    found, _ = _months(session if with_runs else None)
    return JSONResponse({"tables": all_tables(), "months": [month.as_json() for month in found]})


@router.get("/months/{as_of}")
def month(
    request: Request, as_of: dt.date, session: SessionDep, with_values: SeesValues, with_runs: SeesRuns
) -> HTMLResponse:
    """Show a month: its files, counts, validations, revisions and runs."""
    revisions: list[dict[str, Any]] = []
    validations: list[dict[str, Any]] = []
    try:
        with reading() as query:
            revisions, validations = query("revisions", as_of), query("validations", as_of)
    except NothingLoadedError:
        pass
    runs = runs_of(session, str(as_of)) if with_runs else []
    run = newest_runs(session).get(str(as_of)) if runs else None
    if not revisions and not validations and not runs:
        raise HTTPException(404, f"{as_of} is neither sealed nor validated, and has no run.")
    tables = []
    for name, table in tables_of(str(as_of)).items():
        of_table = [row for row in revisions if row["table_name"] == name]
        for before, row in zip([None, *of_table], of_table, strict=False):
            row["changes"] = changes_of_revision(before, row) if before else []
        tables.append(
            {
                "table": table,
                "revisions": of_table,
                "validations": [row for row in validations if row["table_name"] == name],
            }
        )
    known = existing_runs(session, {row["run_id"] for row in [*revisions, *validations]}) if with_runs else set()
    return _page(
        request,
        "month.html",
        as_of=str(as_of),
        tables=tables,
        runs=runs,
        run=run,
        known_runs=known,
        is_sealed=bool(revisions),
        is_restated=any(row["revision"] > 1 for row in revisions),
        with_values=with_values,
    )


@router.get("/validations/{as_of}/{table}")
def validation(
    request: Request,
    as_of: dt.date,
    table: str,
    session: SessionDep,
    with_values: SeesValues,
    with_runs: SeesRuns,
    run: Annotated[str | None, Query(max_length=1000)] = None,
) -> HTMLResponse:
    """Show what the newest validation of a table has found, or that of a run."""
    shape = _table(table)
    rows = []
    try:
        with reading() as query:
            rows = query("validation", as_of, shape.name, _text(run))
    except NothingLoadedError:
        pass
    if not rows:
        raise HTTPException(404, f"The log has no such validation of {shape.name} for {as_of}.")
    (row,) = rows
    values = row["delivered_values"] if with_values else {}
    findings = [rule | values.get(str(place), {}) for place, rule in enumerate(row["result"])]
    findings.sort(key=lambda finding: ("failed", "warning", "passed").index(finding["verdict"]))
    return _page(
        request,
        "suite_result.html",
        as_of=str(as_of),
        table=shape,
        row=row,
        findings=findings,
        has_hidden_values=bool(row["delivered_values"]) and not with_values,
        known_runs=existing_runs(session, {row["run_id"]}) if with_runs else set(),
    )


@router.get("/questions/{as_of}")
def question(
    request: Request,
    as_of: dt.date,
    session: SessionDep,
    with_values: SeesValues,
    with_runs: SeesRuns,
    run: Annotated[str | None, Query(max_length=1000)] = None,
) -> HTMLResponse:
    """Show the newest question about a month, or that of a run: what would change if a person approves it."""
    rows = []
    try:
        with reading() as query:
            rows = query("question", as_of, _text(run))
    except NothingLoadedError:
        pass
    if not rows:
        raise HTTPException(404, f"No one has been asked about {as_of}.")
    (row,) = rows
    newest = newest_runs(session).get(str(as_of)) if with_runs else None
    return _page(
        request,
        "question.html",
        as_of=str(as_of),
        row=row,
        max_cells=MAX_CELLS,
        with_values=with_values,
        is_open=bool(newest and newest.run_id == row["run_id"] and newest.asks),
        known_runs=existing_runs(session, {row["run_id"]}) if with_runs else set(),
    )


@router.get("/tables/{table}")
def table_over_time(request: Request, table: str) -> HTMLResponse:
    """Show a table over time."""
    shape = _table(table)
    history: list[dict[str, Any]] = []
    try:
        with reading() as query:
            history = query("history", shape.name)
    except NothingLoadedError:
        pass
    rows, columns = table_series(shape, history)
    return _page(request, "table.html", table=shape, rows=rows, columns=columns, width=WIDTH, height=HEIGHT)


@router.get("/users", dependencies=[Depends(requires_access_dag("GET", DagAccessEntity.TASK_LOGS, DAG_ID))])
def user_history(
    request: Request, user_id: Annotated[str | None, Query(max_length=MAX_USER_ID)] = None
) -> HTMLResponse:
    """Show what appeared, changed, or went for a user, if delivered values may be shown."""
    if not settings.shows_values():
        raise HTTPException(404, "Delivered values are not shown (AIRFLOW__STREAMFLOW__SHOW_VALUES).")
    steps: list[dict[str, Any]] = []
    if wanted := _text(user_id):
        try:
            with reading() as query:
                steps = query("user_history", wanted)
        except NothingLoadedError:
            pass
    return _page(request, "user.html", user_id=user_id or "", steps=steps)


@router.get("/style.css")
def style() -> Response:
    """Return the stylesheet."""
    return Response((PAGES / "pages.css").read_text(), media_type="text/css")


@router.get("/out.js")
def script() -> Response:
    """Return the one script: links to Airflow's own pages lead out of the frame that the pages are in."""
    return Response((PAGES / "out.js").read_text(), media_type="text/javascript")


def _months(session: Any) -> tuple[list[Any], bool]:
    """Return where each month stands, and whether nothing was ever loaded; runs only with a session."""
    runs = newest_runs(session) if session else {}
    try:
        with reading() as query:
            return month_statuses(query("sealed"), query("checked"), runs), False
    except NothingLoadedError:
        return month_statuses([], [], runs), True


def _table(name: str) -> Table:
    if name not in TABLES:
        raise HTTPException(404, "There is no such table.")
    return TABLES[name]


def _text(value: str | None) -> str | None:
    """Return a text that the database can hold; nothing is called like one that it cannot."""
    return value.replace("\0", "\ufffd").encode(errors="replace").decode() if value else None


def _page(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Render a page; links in it are relative, as Airflow may be served under any path."""
    path, root = request.scope["path"], request.scope.get("root_path", "")
    below = path[len(root) :] if path.startswith(root) else path
    up = "../" * (below.count("/") - 1) or "./"
    html = (
        _templates()
        .get_template(template)
        .render(
            up=up,
            airflow=f"{up}../",
            dag_id=DAG_ID,
            shows_values=settings.shows_values(),
            table_names=all_tables(),
            states=STATES,
            **values,
        )
    )
    return HTMLResponse(html, status)


@functools.cache
def _templates() -> Any:
    import jinja2

    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "number": number,
        "time": lambda value: f"{value.astimezone(dt.UTC):%Y-%m-%d %H:%M}" if value else "–",
        "quoted": lambda value: quote(str(value), safe=""),
        "size": _size,
    }
    return templates


def _size(count: int) -> str:
    """Return a file's size in words."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"


async def _add_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    response.headers.update(HEADERS)
    return response


def _error(request: Request, status: int, title: str, says: str, sign_in: str = "") -> Response:
    if request.scope["path"].endswith(".json"):
        return JSONResponse({"detail": says}, status)
    return _page(request, "error.html", status, title=title, says=says, sign_in=sign_in)


def _on_http_error(request: Request, error: Any) -> Response:
    if error.status_code == 401:
        sign_in = get_auth_manager().get_url_login(next_url=str(request.url))
        return _error(request, 401, "Sign in", "Sign in to Airflow to see this page.", sign_in)
    if error.status_code == 403:
        return _error(request, 403, "Not for you", f"You do not have the right to see this page of {DAG_ID}.")
    title = {404: "Not found", 405: "Not allowed"}.get(error.status_code, "Error")
    return _error(request, error.status_code, title, str(error.detail))


def _on_invalid_request(request: Request, error: Any) -> Response:
    return _error(request, 404, "Not found", "There is no page at this address.")


def _on_unavailable(request: Request, error: Any) -> Response:
    return _error(request, 503, "The database cannot be read", str(error))
