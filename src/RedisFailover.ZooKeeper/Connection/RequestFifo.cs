namespace RedisFailover.ZooKeeper;

/// <summary>
/// The requests of one connection that were written and await their replies, which come in the same order. Not safe for concurrent use: the
/// order in which requests are noted here is that of their bytes, so that one lock of the connection holds both.
/// </summary>
internal sealed class RequestFifo(string chroot, int lastXid)
{
    private readonly Queue<Request> _requests = new();
    private readonly Queue<Request> _authentications = new();

    /// <summary>How many await their replies, credentials not counted. May be read without the lock: a little old does no harm.</summary>
    internal int Count => _requests.Count;

    /// <summary>Whether the server has not judged all credentials yet.</summary>
    internal bool Authenticates => _authentications.Count > 0;

    /// <summary>The number of the last request.</summary>
    internal int LastXid { get; private set; } = lastXid;

    /// <summary>Numbers the request, writes it as one frame and notes it; or leaves no trace of it.</summary>
    /// <returns>Null, or why it is refused.</returns>
    internal Refusal? Append(Request request, JuteWriter writer)
    {
        if (_requests.Count >= ServerConnection.MaxPending || writer.Length >= ServerConnection.MaxUnsentBytes)
        {
            return new Refusal(ZooKeeperErrorCode.Throttled,
                $"not sent: {_requests.Count} requests await their replies, {writer.Length} bytes the socket");
        }

        int start = writer.BeginFrame();
        request.Xid = request.Op switch
        {
            OpCode.Auth => Xid.Auth,
            OpCode.SetWatches => Xid.SetWatches,
            _ => LastXid = Xid.Next(LastXid),
        };
        writer.Int32(request.Xid);
        writer.Int32((int)request.Op);
        try
        {
            request.Write(writer, chroot);
        }
#pragma warning disable CA1031 // Half a frame would be taken for the beginning of the next one: this request fails, and it alone.
        catch (Exception failure)
#pragma warning restore CA1031
        {
            writer.Truncate(start);
            return new Refusal(
                ZooKeeperErrorCode.MarshallingError, $"not sent: the request cannot be written: {failure.Message}", failure);
        }

        int bytes = writer.EndFrame(start);
        if (bytes > ServerConnection.MaxRequestBytes)
        {
            writer.Truncate(start);
            return new Refusal(ZooKeeperErrorCode.MarshallingError, ServerConnection.TooLarge(bytes));
        }

        (request.Op == OpCode.Auth ? _authentications : _requests).Enqueue(request);
        return null;
    }

    /// <summary>The request that the reply belongs to.</summary>
    /// <exception cref="InvalidDataException">The reply is not the one that is due: the stream cannot be trusted any more.</exception>
    internal Request TakeFor(int xid)
    {
        Queue<Request> queue = xid == Xid.Auth ? _authentications : _requests;
        if (!queue.TryPeek(out Request? request) || request.Xid != xid)
        {
            string expected = request is null ? "none is due" : $"{request.Xid} ({request.Name}) is due";
            throw new InvalidDataException($"A reply with xid {xid} came while {expected}.");
        }

        return queue.Dequeue();
    }

    /// <summary>The next one that will get no reply; null when there is none left.</summary>
    internal Request? TakeAny()
        => _requests.TryDequeue(out Request? request) || _authentications.TryDequeue(out request) ? request : null;
}

/// <summary>Why a request is not sent.</summary>
/// <param name="Code">With what it fails.</param>
/// <param name="Why">What its exception says beyond that.</param>
/// <param name="Cause">What was thrown, if anything.</param>
internal readonly record struct Refusal(ZooKeeperErrorCode Code, string Why, Exception? Cause = null);
