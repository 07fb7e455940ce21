using StackExchange.Redis.Profiling;

namespace RedisFailover.Client;

/// <summary>The events of an <see cref="IConnectionMultiplexer"/>.</summary>
internal enum MultiplexerEvent
{
    ErrorMessage,
    ConnectionFailed,
    InternalError,
    ConnectionRestored,
    ConfigurationChanged,
    ConfigurationChangedBroadcast,
    ServerMaintenance,
    HashSlotMoved,
}

/// <summary>What applications have asked of every node's multiplexer, present and future: events, a profiler, names.</summary>
internal sealed class NodeObservers
{
    private readonly Lock _gate = new();
    private readonly HashSet<ConnectionMultiplexer> _attached = [];
    private readonly HashSet<string> _suffixes = [];
    private Func<ProfilingSession?>? _profiler;
    private int? _stormLogThreshold;

    /// <summary>Raised by the library on threads of its own, or by <see cref="ConnectionEvents"/>.</summary>
    public event Action<MultiplexerEvent, object>? Raised;

    /// <summary>Those that live now.</summary>
    public ConnectionMultiplexer[] Multiplexers
    {
        get
        {
            lock (_gate)
            {
                return [.. _attached];
            }
        }
    }

    /// <summary>Gives it all that was asked for so far.</summary>
    public void Attach(ConnectionMultiplexer multiplexer)
    {
        lock (_gate)
        {
            _attached.Add(multiplexer);
            if (_profiler is not null)
            {
                multiplexer.RegisterProfiler(_profiler);
            }

            if (_stormLogThreshold is { } threshold)
            {
                multiplexer.StormLogThreshold = threshold;
            }

            foreach (string suffix in _suffixes)
            {
                multiplexer.AddLibraryNameSuffix(suffix);
            }
        }

        multiplexer.ErrorMessage += (_, raised) => Raise(MultiplexerEvent.ErrorMessage, raised);
        multiplexer.InternalError += (_, raised) => Raise(MultiplexerEvent.InternalError, raised);
        multiplexer.ConfigurationChangedBroadcast += (_, raised) => Raise(MultiplexerEvent.ConfigurationChangedBroadcast, raised);
        multiplexer.ServerMaintenanceEvent += (_, raised) => Raise(MultiplexerEvent.ServerMaintenance, raised);
        multiplexer.HashSlotMoved += (_, raised) => Raise(MultiplexerEvent.HashSlotMoved, raised);
    }

    public void Detach(ConnectionMultiplexer multiplexer)
    {
        lock (_gate)
        {
            _attached.Remove(multiplexer);
        }
    }

    public void Raise(MultiplexerEvent what, object raised) => Raised?.Invoke(what, raised);

    public void RegisterProfiler(Func<ProfilingSession?> profiler)
    {
        lock (_gate)
        {
            _profiler = profiler;
            foreach (ConnectionMultiplexer multiplexer in _attached)
            {
                multiplexer.RegisterProfiler(profiler);
            }
        }
    }

    public void AddLibraryNameSuffix(string suffix)
    {
        lock (_gate)
        {
            if (_suffixes.Add(suffix))
            {
                foreach (ConnectionMultiplexer multiplexer in _attached)
                {
                    multiplexer.AddLibraryNameSuffix(suffix);
                }
            }
        }
    }

    /// <summary>0 where it was not set and nothing is connected.</summary>
    public int StormLogThreshold
    {
        get
        {
            lock (_gate)
            {
                return _stormLogThreshold ?? _attached.FirstOrDefault()?.StormLogThreshold ?? 0;
            }
        }

        set
        {
            lock (_gate)
            {
                _stormLogThreshold = value;
                foreach (ConnectionMultiplexer multiplexer in _attached)
                {
                    multiplexer.StormLogThreshold = value;
                }
            }
        }
    }
}
