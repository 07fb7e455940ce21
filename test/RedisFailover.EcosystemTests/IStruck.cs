namespace RedisFailover.EcosystemTests;

/// <summary>Three Redis nodes, with something that fails over, whose master a test strikes.</summary>
internal interface IStruck : IAsyncDisposable
{
    /// <summary>Strikes the master and returns once another one is known.</summary>
    Task StrikeAsync(string fault);

    /// <summary>Ends what a SIGSTOP began.</summary>
    void Thaw();
}
