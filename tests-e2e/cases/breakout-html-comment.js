// expect: ^(ok|error)
-->
return 1
<!--
