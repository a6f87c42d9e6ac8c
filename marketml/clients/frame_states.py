"""The states of frames for code on an event loop: `DataClient.get_frame_state` as a coroutine."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from marketml.clients.data_messages import Instrument, frame_spec
from marketml.data.v1 import data_pb2 as pb
from marketml.market.v1 import market_pb2
from marketml.rpc.channels import LoopChannel, Tls

_METHOD = pb.DESCRIPTOR.services_by_name["DataService"].methods_by_name["GetFrameState"]


class FrameStates:
    """A connection to the data room that is made, used and closed on one event loop."""

    def __init__(self, target: str, *, tls: Tls | None = None) -> None:
        path = f"{_METHOD.containing_service.full_name}/{_METHOD.name}"
        self._channel = LoopChannel(target, tls=tls, retryable=[path])
        self._call = self._channel.unary_unary(
            f"/{path}",
            request_serializer=pb.GetFrameStateRequest.SerializeToString,
            response_deserializer=pb.GetFrameStateResponse.FromString,
        )

    async def get_frame_state(
        self,
        venue: str,
        symbol: str,
        timeframe: str,
        *,
        as_of: datetime | None = None,
        reference: Instrument | None = None,
    ) -> str:
        """The state of a series' whole frame, with the default ages; see `DataClient.get_frame_state`."""
        key = market_pb2.SeriesKey(venue=venue, symbol=symbol, timeframe=timeframe)
        frame = frame_spec(key, None, None, as_of, None, None, "", reference)
        response: Any = await self._call(pb.GetFrameStateRequest(frame=frame))
        state: str = response.state
        return state

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()
