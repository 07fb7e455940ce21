using System.Net;

namespace RedisFailover.Shared;

/// <summary>
/// Whether a host name no longer stands for the address where a connection was made: a server was moved, and the old one may still answer.
/// Compiled into the projects that connect by name.
/// </summary>
/// <param name="names">What host names resolve to.</param>
/// <param name="host">The name.</param>
/// <param name="found">Where the connection leads; null where that is not known.</param>
/// <param name="interval">How often the name is looked up.</param>
/// <param name="time">The source of time.</param>
internal sealed class NameCheck(HostAddresses names, string host, IPEndPoint? found, TimeSpan interval, TimeProvider time)
{
    /// <summary>Until it is believed: a name server may give several addresses by turns.</summary>
    private readonly TimeSpan _patience = 2 * interval;

    private long? _elsewhereSince;

    /// <summary>Whether it has stood for other addresses alone for long enough; asks anew meanwhile, and waits for nobody.</summary>
    internal bool HasMoved()
    {
        bool isElsewhere = found is not null && names.Known(host, interval) is { IsEmpty: false } known && !known.Contains(found.Address);
        _elsewhereSince = isElsewhere ? _elsewhereSince ?? time.GetTimestamp() : null;
        return _elsewhereSince is { } since && time.GetElapsedTime(since) >= _patience;
    }
}
